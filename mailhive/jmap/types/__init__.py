"""One package per datatype; each exposes `DATATYPE`."""
