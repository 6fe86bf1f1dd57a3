"""The gateway's process."""

from gateway.app import serve_gateway

if __name__ == "__main__":
    serve_gateway()
