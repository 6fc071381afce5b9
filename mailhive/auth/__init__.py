"""Who is asking: authentication strategies (`mailhive.interfaces.authentication`)."""
