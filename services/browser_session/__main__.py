"""The process of the browser_session service."""

from libs.rpc.serve import serve
from services.browser_session.service import BrowserSessionService

if __name__ == "__main__":
    serve(BrowserSessionService)
