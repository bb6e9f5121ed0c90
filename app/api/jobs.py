"""Indexing from the page: for local use, and only where the service was started with --allow-indexing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from app.jobs import Job, JobRequest, JobRunner

Name = Annotated[str, Path(max_length=20)]


class Jobs(BaseModel):
    """Whether indexing is allowed, from which folders, what lies in them, and the jobs, newest first."""

    allowed: bool
    folders: list[str]
    sources: list[str]
    jobs: list[Job]


def routes(runner: JobRunner) -> APIRouter:
    """The operations."""
    router = APIRouter(prefix="/api/jobs", tags=["indexing"])

    @router.get("", response_model=Jobs, summary="Jobs so far")
    def jobs() -> Jobs:
        """With how far they are."""
        if not runner.allowed:
            return Jobs(allowed=False, folders=[], sources=[], jobs=[])
        folders = [str(folder) for folder in runner.folders]
        return Jobs(allowed=True, folders=folders, sources=runner.sources, jobs=runner.all())

    @router.post("", response_model=Job, status_code=201, summary="Index a source")
    def start(request: JobRequest) -> Job:
        """One job at a time; what it adds is found as soon as it is done."""
        return runner.start(request)

    @router.get("/{job_id}", response_model=Job, summary="How far a job is")
    def get(job_id: Name) -> Job:
        """Pictures done, of how many, and the seconds left."""
        return runner.get(job_id)

    @router.post("/{job_id}/cancel", response_model=Job, summary="Stop a job")
    def cancel(job_id: Name) -> Job:
        """What was done stays; it can be resumed."""
        return runner.cancel(job_id)

    @router.post("/{job_id}/resume", response_model=Job, summary="Go on with a job")
    def resume(job_id: Name) -> Job:
        """From where it stopped, also after the service was started anew."""
        return runner.resume(job_id)

    return router
