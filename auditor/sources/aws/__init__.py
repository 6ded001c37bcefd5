"""Facts from AWS through boto3: read-only, paced below AWS's documented rates, many calls at a time."""
