"""The process of the workflow service."""

from libs.rpc.serve import serve
from services.workflow.service import WorkflowService

if __name__ == "__main__":
    serve(WorkflowService)
