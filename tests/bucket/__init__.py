"""Files in a bucket, on a server that speaks S3. `make bucket` installs what it needs; `make test` leaves it out."""
