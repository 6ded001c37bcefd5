"""Tests of ddbaudit."""
