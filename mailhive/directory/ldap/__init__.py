"""Principals of an LDAP directory (RFC 4511), such as OpenLDAP or Active Directory.

`settings` says where it is and what its entries mean, `templates` puts values into
filters and names, `connection` is one connection with one request at a time, `pool`
has several of them to the first server that works, `tree` searches, `mapping` makes
principals of entries, and `directory` is the `IDirectory`.
"""
