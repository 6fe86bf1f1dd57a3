"""The run service as a process."""

from libs.rpc.serve import serve
from services.run.service import RunService

if __name__ == "__main__":
    serve(RunService)
