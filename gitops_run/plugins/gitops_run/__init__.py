"""The plugin `gitops-run`: what a session needs of an S3 store that isn't AWS."""
