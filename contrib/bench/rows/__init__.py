"""What is measured: one generator function per row of the table.

A row prepares before its first `yield`, yields one measurement whenever it is
resumed, and puts back what it has changed in its `finally`.  Only what lies in
`account.seconds`, the time of one HTTP exchange, is counted, or what a row adds
up itself.
"""

from rows import reading, searching, changing, octets, delivering, waiting, together  # noqa: F401, I001 (the order is the table's)
from rows.site import ROWS, Measurements, Row, Site

__all__ = ["ROWS", "Measurements", "Row", "Site"]
