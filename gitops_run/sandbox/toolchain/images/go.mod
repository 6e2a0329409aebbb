module gitops-run.dev/toolchain/images

go 1.26.0
