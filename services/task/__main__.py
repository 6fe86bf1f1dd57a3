"""The process of the task service."""

from libs.rpc.serve import serve
from services.task.service import TaskService

if __name__ == "__main__":
    serve(TaskService)
