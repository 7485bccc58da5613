"""What a request says, read as its route declares it: path, query, headers, body, forms."""
