// The door into page/: modules cannot be injected, but imported. The promise tells when the page's part listens.
import(chrome.runtime.getURL("page/main.js")).then(() => true);
