declare module "*.css"; // esbuild takes them out of the script
