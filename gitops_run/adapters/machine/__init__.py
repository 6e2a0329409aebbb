"""This machine: processes, folders, settings, kubeconfigs."""
