"""The example's tests run where the example is installed, not here."""

collect_ignore_glob = ["automl-xfer-example/*", "broken/*"]
