import { defineConfig } from 'vite'

// Relative, so that the page works under any prefix. One script and one style sheet, with hashes in their names.
export default defineConfig({
  base: './',
  build: {
    outDir: 'built',
    assetsDir: '.',
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'], // the first with light-dark()
    license: { fileName: 'licences.md' },
    chunkSizeWarningLimit: 600
  }
})
