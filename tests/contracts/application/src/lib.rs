//! Nothing; the tests are the application.
