"""Mail semantics over the providers: blobs of an account, ingest, delivery, provisioning."""
