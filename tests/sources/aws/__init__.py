"""Tests of the AWS source, on moto."""
