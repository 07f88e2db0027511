/** What is promised; or, after a minute and a half, an error that says what was there instead, which a hang would not. */
export async function within<T>(promised: Promise<T>, describe: () => string, ms = 90_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain: ${describe()}`)), ms);
  });
  try {
    return await Promise.race([promised, late]);
  } finally {
    clearTimeout(timer);
  }
}
