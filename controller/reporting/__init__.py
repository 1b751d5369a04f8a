"""What was heard, by place and period: counted as records come in, put together when somebody asks."""
