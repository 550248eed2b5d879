# The default run, for machines without Python 3.11; README says how to start it.
FROM python:3.11-slim
WORKDIR /typefleet
COPY . .
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt && \
    pip install --no-cache-dir --no-deps --no-build-isolation .
# A run's folder is its owner's alone, so README starts this as the user who is to read it, whom the image does not know.
ENV HOME=/tmp
CMD ["python", "scripts/simulate.py"]
