"""Downloading an exchange's history into a store: what is missing, from its archive or by REST."""
