"""Application Auto Scaling's scalable targets."""

from __future__ import annotations
