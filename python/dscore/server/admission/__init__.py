"""From an unauthenticated connection to an agent or a watcher.

`judge` is asked of each introduction that the fleet does not take by itself, `connects` of each
Socket.IO CONNECT; both ask `authenticator` for the token, the certificate and the policy's
`authenticate`. `acceptance` makes of what may come in an agent or a watcher.
"""
