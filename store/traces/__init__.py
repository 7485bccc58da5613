"""Traces of jobs, from the request that queues one to its rows: told as values, sent by OpenTelemetry if asked for."""
