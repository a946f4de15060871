"""The input/output audit: does everything that is meant to reach the agent reach it?"""
