/* The smallest program: what is measured with it is the starting, not the program. */
int main(void) { return 0; }
