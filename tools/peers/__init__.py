"""Run the test suites of other libraries, unmodified, against our faces of them."""
