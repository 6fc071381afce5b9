"""Filters of others, by the milter protocol of Sendmail."""
