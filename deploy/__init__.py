"""What an environment needs beside the code: the image, the services around it, the catalog, the key rings."""
