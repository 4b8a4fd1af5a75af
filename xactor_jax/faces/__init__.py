"""Face detection (BlazeFace) and 468 face landmarks (Face Mesh), with their published weights."""
