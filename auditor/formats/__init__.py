"""Reports in the formats that other tools read: one module a format, each with ``render(report) -> str``."""
