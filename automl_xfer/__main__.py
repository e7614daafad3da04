"""`python -m automl_xfer` is the command `automl-xfer`."""

from automl_xfer.cli import main

if __name__ == "__main__":
    main()
