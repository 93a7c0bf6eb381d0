"""Bytes and messages at the edges of a program."""
