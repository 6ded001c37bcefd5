"""The function behind an AWS Config rule."""
