"""VPN, transit gateways and Direct Connect."""

from __future__ import annotations
