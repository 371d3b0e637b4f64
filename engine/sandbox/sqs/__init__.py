"""The sandbox's queues, in the protocol of SQS."""
