declare module "*.css"; // esbuild takes them out of the script
declare const MOECAP_VERSION: string; // by build.mjs
