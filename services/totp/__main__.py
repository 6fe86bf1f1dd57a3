"""The process of the totp service."""

from libs.rpc.serve import serve
from services.totp.service import TotpService

if __name__ == "__main__":
    serve(TotpService)
