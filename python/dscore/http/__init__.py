"""The HTTP side: the bridge from the core to ASGI, and the pages served over a `Fleet`.

`asgi` knows no page, the pages know no server (`ports.Fleet` is all they see), and `app` puts them
together. Nothing here is imported before a server starts: FastAPI alone costs more than the rest of
the package.
"""
