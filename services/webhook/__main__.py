"""The process of the webhook service."""

from libs.rpc.serve import serve
from services.webhook.service import WebhookService

if __name__ == "__main__":
    serve(WebhookService)
