"""Draws of donors for recipients, step after step."""
