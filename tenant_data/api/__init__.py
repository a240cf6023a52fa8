"""A tenant's files and documents over HTTP. The tenant is the one in the path; the middleware made it current."""
