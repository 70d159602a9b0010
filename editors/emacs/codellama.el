;;; codellama.el --- Code Llama by eglot or lsp-mode  -*- lexical-binding: t; -*-

;; Put this into your init file, after (require 'eglot) or (require 'lsp-mode).

;;; Code:

(defvar codellama-command '("codellama-ls")
  "The command that starts the language server.")

(defvar codellama-settings '(:completionMenu t :model "starter")
  "Settings of the server, as a property list.
Emacs shows no inline completion: the suggestion comes with `completion-at-point'.")

(defvar codellama-modes '(python-mode js-mode c-mode rust-mode go-mode)
  "Where the server is used.")

(defun codellama-eglot-contact (&rest _)
  "How eglot starts the server."
  (append codellama-command (list :initializationOptions codellama-settings)))

(with-eval-after-load 'eglot
  ;; eglot runs one server in a buffer: this one takes the place of the mode's own.
  (add-to-list 'eglot-server-programs (cons codellama-modes #'codellama-eglot-contact)))

(with-eval-after-load 'lsp-mode
  ;; lsp-mode runs it beside the other servers.
  (lsp-register-client
   (make-lsp-client
    :server-id 'codellama
    :new-connection (lsp-stdio-connection (lambda () codellama-command))
    :major-modes codellama-modes
    :add-on? t
    :notification-handlers (let ((handlers (make-hash-table :test #'equal)))
                             (puthash "codellama/status" #'ignore handlers)
                             handlers)
    :initialization-options (lambda () codellama-settings)))
  (dolist (mode codellama-modes)
    (unless (assq mode lsp-language-id-configuration)
      (add-to-list 'lsp-language-id-configuration
                   (cons mode (string-remove-suffix "-mode" (symbol-name mode)))))))

(provide 'codellama)
;;; codellama.el ends here
