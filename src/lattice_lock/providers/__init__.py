"""Clients for model providers: one file for each, named as the provider's id."""
